"""The work is done on a cluster in place of this machine. Import the module you need."""
