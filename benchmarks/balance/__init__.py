"""Who is asked first, and how soon the next one after an error."""
