"""Azure Face on a laptop: the documented API, and device ids that choose what comes of a check."""

from local.simulator.scenarios import SCENARIOS, Scenario
from local.simulator.server import FaceSimulator
from local.simulator.upstream import Session

__all__ = ["SCENARIOS", "FaceSimulator", "Scenario", "Session"]
