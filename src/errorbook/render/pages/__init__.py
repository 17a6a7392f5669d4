"""What the report and the browser's pages share: one template environment, one style, one way to show texts."""
