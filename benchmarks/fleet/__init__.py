"""A fleet of instances in virtual time: what its throttle does to honest devices, attackers and the store."""
