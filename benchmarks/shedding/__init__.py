"""What is still answered in time when twice as much is asked as can be answered."""
