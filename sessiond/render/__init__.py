"""From a session to the files and commands that run it: pure, text in and text out."""
