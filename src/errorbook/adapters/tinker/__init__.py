"""Training and sampling behind the Tinker API, and behind servers that speak its protocol."""
