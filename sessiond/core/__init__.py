"""What a session is and what happens to it next: pure, no clock, no socket, no log."""
