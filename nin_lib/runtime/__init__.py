"""What a student need not open: how the machine is used well."""
