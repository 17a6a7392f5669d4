"""Where the work is done: a cluster in place of this machine. Import the module you need."""
