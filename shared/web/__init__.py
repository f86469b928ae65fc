"""HTTP requests in, HTTP responses out: the only place besides the triggers that knows azure.functions."""
