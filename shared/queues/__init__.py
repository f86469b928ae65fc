"""Message queues: what is to be done later, whoever is alive then."""
