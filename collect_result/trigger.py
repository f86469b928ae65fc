"""The trigger: parse the message, call the use-case."""

import logging

import azure.functions as func

from shared.app import current_app
from shared.queues.message import CollectMessage, id_of_text
from shared.queues.port import RESULTS_QUEUE
from shared.telemetry import log_event

_log = logging.getLogger(__name__)

collect_result_bp = func.Blueprint()


@collect_result_bp.function_name("collect_result")
@collect_result_bp.queue_trigger(
    arg_name="message", queue_name=RESULTS_QUEUE, connection="AzureWebJobsStorage"
)
async def trigger(message: func.QueueMessage) -> None:
    """Process one message. If this raises, the host delivers it again, and in the end moves it to the poison queue."""
    # Imported late, because the first create of an instance would wait for it.
    from collect_result.use_case import collect_result

    text = message.get_body().decode("utf-8", "replace")
    try:
        parsed = CollectMessage.from_text(text)
    except ValueError as fault:
        log_event(
            _log,
            logging.ERROR,
            "message_unusable",
            messageId=id_of_text(text),
            dequeueCount=message.dequeue_count,
            reason=str(fault),
        )
        raise
    app = current_app()
    with app.background_log.invocation():
        await collect_result(app, parsed)
