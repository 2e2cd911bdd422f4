"""What a change of the configuration costs those who are being answered meanwhile."""
