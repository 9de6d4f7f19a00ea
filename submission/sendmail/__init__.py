"""What sendmail on port 25 sees of the POP-before-SMTP table: a map that it asks, or a file that it reads."""
