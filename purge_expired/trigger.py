"""The trigger: purge."""

import azure.functions as func

from shared.app import current_app

purge_expired_bp = func.Blueprint()


# At a minute when few other jobs run. With the monitor, the host makes up for a missed run.
@purge_expired_bp.function_name("purge_expired")
@purge_expired_bp.timer_trigger(
    arg_name="timer", schedule="0 17 * * * *", run_on_startup=False, use_monitor=True
)
async def trigger(timer: func.TimerRequest) -> None:
    """Run once an hour, on one instance."""
    # Imported late, because the first create of an instance would wait for it.
    from purge_expired.use_case import purge_expired

    app = current_app()
    with app.background_log.invocation():
        await purge_expired(app)
