"""Connections to one database: `default` as the application, `identity` for secrets of people, `auditor` for the ledger."""

from typing import Any

from gantry.config.env import environment

_env = environment()


def _connection(role: str, *, pool_size: int) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _env.database.name,
        "USER": f"gantry_{role}",
        "PASSWORD": _env.database.passwords[role],
        "HOST": _env.database.host,
        "PORT": str(_env.database.port),
        "CONN_MAX_AGE": 0,
        # A connection that died with a restarted server is noticed in the pool, not by a person.
        "CONN_HEALTH_CHECKS": True,
        "ATOMIC_REQUESTS": False,
        "OPTIONS": {
            "application_name": f"gantry-{role}",
            # A process that froze inside a transaction keeps its locks from everybody no longer than this.
            "options": "-c idle_in_transaction_session_timeout=15s",
            "pool": {"min_size": 0, "max_size": pool_size, "timeout": 10, "max_idle": 120},
        },
    }


_default_role = _env.database.role

DATABASES = {
    "default": _connection(_default_role, pool_size=12),
    # Migrations run as the owner on both aliases.
    "identity": _connection("identity" if _default_role == "app" else _default_role, pool_size=6),
    # Reads the ledger, one log at a time (gantry.audit.ledger). The sequencer connects by itself, in its own process.
    "auditor": _connection("auditor" if _default_role == "app" else _default_role, pool_size=4),
}
DATABASE_ROUTERS = ["gantry.foundation.routing.IdentityRouter"]

PROCRASTINATE_DATABASE_ALIAS = "default"
PROCRASTINATE_ON_APP_READY = "gantry.foundation.jobs.on_app_ready"

CHANNEL_LAYERS: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [_env.redis_url]}}
    if _env.redis_url
    else {"BACKEND": "channels.layers.InMemoryChannelLayer"},
}
