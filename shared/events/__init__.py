"""What the business behind the broker is told: one terminal event for each session."""
