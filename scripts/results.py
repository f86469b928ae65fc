"""What an answer to a poll means: for the error guide, the OpenAPI document and the clients. No request needs it."""

from shared.values import immutable
from shared.web.catalogue import APP_FAULT

_AGAIN = ", and try again."
_CANCELED = "The check was canceled."
_PASSED = "The check was successful."
_FAILED = "The check was not successful."

# Face publishes no list of `failure.code`. These are the reasons of its Vision SDKs, and `FaceWithMaskDetected` is
# known from both (https://azure.github.io/azure-sdk-for-ios/AzureAIVisionFaceUI/Enums/LivenessError.html, the
# `LivenessError` of azure-sdk-for-android, and that of the npm package `azure-ai-vision-face-ui`).
FAILURES: dict[str, str] = {
    "FaceWithMaskDetected": f"Please take your mask off{_AGAIN}",
    "FaceMouthRegionNotVisible": f"Please make sure that nothing covers your mouth{_AGAIN}",
    "FaceEyeRegionNotVisible": f"Please take your glasses off, move hair away from your eyes{_AGAIN}",
    "FaceNotFrontal": f"Please look straight at the camera{_AGAIN}",
    "NoFaceDetected": f"Please hold the camera in front of your face{_AGAIN}",
    "FaceTrackingFailed": f"Please keep your face in view of the camera{_AGAIN}",
    "ExcessiveImageBlurDetected": f"Please clean the lens, hold the camera still{_AGAIN}",
    "ExcessiveFaceBrightness": f"Please turn away from strong light{_AGAIN}",
    "EnvironmentNotSupported": f"Please go where the light is even and not too bright{_AGAIN}",
    "SmileNotPerformed": f"Please smile when you are asked to{_AGAIN}",
    "HeadTurnNotPerformed": f"Please turn your head as shown{_AGAIN}",
    "RandomPoseNotPerformed": f"Please turn your head as shown{_AGAIN}",
    "ActionNotPerformed": f"Please follow the instructions on the screen{_AGAIN}",
    "TimedOut": "The check took too long. Please try again.",
    "ServerTimedOut": f"Please check your network{_AGAIN}",
    "ServerRequestTimedOut": f"Please check your network{_AGAIN}",
    "CameraPermissionDenied": f"Please allow this app to use the camera{_AGAIN}",
    "CameraStartupFailure": f"Please close other apps that use the camera{_AGAIN}",
    "UserCanceledSession": _CANCELED,
    "UserCanceledActiveMotion": _CANCELED,
    "UserCanceledActiveMotionPrompt": _CANCELED,
    # Earlier web SDKs spell these so.
    "UserCancelledSession": _CANCELED,
    "UserCancelledActiveMotion": _CANCELED,
    "InvalidToken": "This check has ended. Please start a new one.",
    "ClientVersionNotSupported": APP_FAULT,
    "VerifyImageNotProvided": APP_FAULT,
    "SetVerifyImageNotAllowed": APP_FAULT,
    "UnexpectedClientError": "The check did not work. Please try again.",
    "UnexpectedServerError": "The check did not work. Please try again.",
    "Unexpected": "The check did not work. Please try again.",
    "GenericFailure": "The check did not work. Please try again.",
    # Face's own statuses, and the broker's words where Face gives no reason.
    "Canceled": _CANCELED,
    "NoDecision": "The check did not work. Please try again.",
    "Unspecified": "The check did not work. Please try again.",
    "Unfinished": "The check did not work. Please try again.",
    # Face did decide, so the person is told what any other decision but a pass is told.
    "UnknownDecision": _FAILED,
}
"""What the app tells the person when an attempt ended without a decision, by `failure.code`."""


@immutable
class ResultRow:
    """What one kind of answer to a poll means. The first row whose `when` fits an answer counts.

    `outcome` is the word of the clients, or None while the check goes on: then nothing is told. With `by_failure`
    the person is told the sentence of `failure.code` in `FAILURES`, and `tell` for a code without one.
    """

    when: str
    means: str
    backend: str
    outcome: str | None = "failed"
    tell: str | None = _FAILED
    by_failure: bool = False


RESULTS: tuple[ResultRow, ...] = (
    ResultRow(
        "`passed: true`",
        "a live person was there; with `digestMatches: true`, nobody changed the traffic between phone and Face",
        "accepts the event once",
        "passed",
        _PASSED,
    ),
    ResultRow(
        "`status: Expired`",
        "no attempt ended before the token did",
        "no pass; suspects nobody",
        "expired",
        "The check took too long. Please start a new one.",
    ),
    ResultRow(
        "`status: Started`, with a newer `failure`: `attempts` is higher than at the last failure, or than 0",
        "an attempt ended without a decision; Face allows another in this session",
        "waits for the event",
        "tryAgain",
        "The check did not work. Please try again.",
        by_failure=True,
    ),
    ResultRow(
        "`status: NotStarted`; or `Started` without a newer `failure`",
        "the check is not over, Face is slow, or the operator hides results (`RESULT_VISIBILITY=status`)",
        "waits for the event",
        None,
        None,
    ),
    ResultRow(
        "no `passed`",
        "the operator hides it, or the service waits for the digest (`REQUIRE_DIGEST=true`): send it if it was not",
        "decides by the event alone",
        "done",
        "The check is complete.",
    ),
    ResultRow(
        "`failure.code: UnknownDecision`",
        "Face decided something that this release does not know",
        "no pass; tells the operator to look for a newer release. It counts as a failed check",
    ),
    ResultRow(
        "`failure`, any other code",
        "the last attempt ended without a decision: a mask, bad light, a person who gave up; another try needs a new "
        "session",
        "no pass; suspects nobody. It does not count as a failed check",
        by_failure=True,
    ),
    ResultRow(
        "`livenessDecision: spoofface`",
        "Face saw a picture, a screen or a mask in place of a person",
        "no pass. After several for one person: a human looks",
    ),
    ResultRow(
        "`livenessDecision: uncertain`",
        "Face could not tell",
        "no pass, and no proof of a fraud. After several: offers another way",
    ),
    ResultRow(
        "`digestMatches: false`",
        "the phone saw another result than Face has: somebody changed the traffic, or the app sent the digest of "
        "another session",
        "no pass. One app version, many people: its fault. One person: treats it as an attack",
    ),
    ResultRow(
        "`abuseDetected: true`",
        "Face suspects one person with many accounts, or an attacking device (`v1.3-preview.1`)",
        "no pass. A human looks: the audit of the session names the other sessions",
    ),
    ResultRow(
        "`digestMatches: null`",
        "the digest is required, and did not come within two minutes after the token's end",
        "no pass. The app forgot it, or somebody held it back: as for `digestMatches: false`",
    ),
)
"""What each answer to a poll means: the first row that fits counts."""
