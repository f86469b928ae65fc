"""Microsoft's own clients against the simulator: its sample server's calls, and its SDKs, unchanged."""

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.ai.vision.face.aio import FaceSessionClient
from azure.ai.vision.face.models import CreateLivenessSessionContent, LivenessOperationMode
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import HttpResponseError

from local.simulator import FaceSimulator
from tests.local.simulator.client import KEY, FaceClient

JAVASCRIPT = Path(__file__).with_name("javascript_sdk.cjs")
MODULES = Path(__file__).parents[3] / ".tools/face-sdk/node_modules"
HOW_TO_GET_IT = "The SDK is not installed: run scripts/face_sdk.sh"
PATIENCE_SECONDS = 60


@pytest.mark.parametrize(
    ("version", "fields"),
    [("v1.2", {}), ("v1.2", {"enableSessionImage": True}), ("v1.3-preview.1", {"enableSessionImage": True})],
    ids=["angularjs", "vuejs", "blazor"],
)
async def test_sample_server(
    face: FaceClient, simulator: FaceSimulator, version: str, fields: dict[str, bool]
) -> None:
    """The servers of the web samples create a session and read its result.

    https://github.com/Azure-Samples/azure-ai-vision-sdk, samples/web/angularjs/server.js, and so on. The endpoint in
    `.env.local` ends with a slash, they send a user id, and their GET has a content type.
    """
    endpoint = simulator.url + "/"
    headers = {
        "Ocp-Apim-Subscription-Key": KEY,
        "X-MS-AZSDK-Telemetry": "sample=angular-face-web-sdk",
        "Content-Type": "application/json",
    }
    body = {
        "livenessOperationMode": "PassiveActive",
        "deviceCorrelationId": "8b4f4d5e-7a55-4d39-8f43-b2cd2b77f3bd",
        "userCorrelationId": "a9e5b1e0-2c52-4f2c-9a0e-3f7a2c1d5b66",
        **fields,
    }
    async with httpx.AsyncClient(trust_env=False, headers=headers) as server:
        sessions = f"{endpoint}/face/{version}/detectLiveness-sessions"
        created = await server.post(sessions, content=json.dumps(body))
        await face.perform(created.json()["authToken"])
        result = await server.get(f"{sessions}/{created.json()['sessionId']}")

    attempt = result.json()["results"]["attempts"][0]
    assert (created.status_code, result.status_code) == (200, 200)
    assert (result.json()["status"], attempt["result"]["livenessDecision"]) == ("Succeeded", "realface")


async def test_python_sdk(face: FaceClient, simulator: FaceSimulator) -> None:
    """PyPI's azure-ai-vision-face goes through all calls of v1.1-preview.1, the list of sessions among them."""
    content = CreateLivenessSessionContent(
        liveness_operation_mode=LivenessOperationMode.PASSIVE, device_correlation_id="sim-spoofface"
    )
    async with FaceSessionClient(simulator.url, AzureKeyCredential(KEY)) as sdk:
        created = await sdk.create_liveness_session(content)
        await face.perform(created.auth_token)
        session = await sdk.get_liveness_session_result(created.session_id)
        [listed] = await sdk.get_liveness_sessions()
        [entry] = await sdk.get_liveness_session_audit_entries(created.session_id)
        await sdk.delete_liveness_session(created.session_id)
        with pytest.raises(HttpResponseError) as gone:
            await sdk.get_liveness_session_result(created.session_id)

    assert session.result
    assert session.status == "ResultAvailable"
    assert session.result.response.body.liveness_decision == "spoofface"
    assert (listed.id, listed.device_correlation_id) == (created.session_id, "sim-spoofface")
    assert entry.digest == session.result.digest
    assert gone.value.error
    assert (gone.value.status_code, gone.value.error.code) == (404, "SessionNotFound")


async def test_javascript_sdk(simulator: FaceSimulator) -> None:
    """The npm package @azure-rest/ai-vision-face goes through all calls of v1.2, and gets the session image."""
    node = shutil.which("node")
    if node is None or not MODULES.exists():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(HOW_TO_GET_IT)
    process = await asyncio.create_subprocess_exec(
        *(node, str(JAVASCRIPT), str(MODULES), simulator.url, KEY), stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        output, _ = await process.communicate()
    seen: dict[str, Any] = json.loads(output)

    assert seen == {
        "statuses": ["200", "200", "200", "204", "404"],
        "decision": "spoofface",
        "image": [255, 216, 255],
        "code": "SessionNotFound",
    }
