"""What an operator does by hand: poison messages, events once more, and the record of one session."""
