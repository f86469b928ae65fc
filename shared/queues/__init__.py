"""Message queues: work for later."""
