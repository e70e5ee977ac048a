"""REST, pages, static files, time."""

from gantry.config.env import environment

_env = environment()

REST_FRAMEWORK = {
    # `TenantAPIView` names its own; a view that forgets to derive from it is closed to everybody.
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "gantry.foundation.web.problems.handle_exception",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Gantry",
    "DESCRIPTION": "Studies, analyses and findings of one tenant.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": r"/t/[^/]+/api/v1",
}

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

STATIC_URL = "/static/"
STATIC_ROOT = _env.web_dist
# The build is served as it is: its names carry content hashes.
DJANGO_VITE = {"default": {"dev_mode": False, "manifest_path": _env.web_dist / "manifest.json"}}

# Uploads never come this way (the DICOM door reads its own body); pages and API send small JSON.
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
LOGGING_CONFIG = None

#: Where this cell holds and processes data; agreements name the regions that may (the gate compares).
REGION = _env.region
#: Seconds without a new instance after which a study counts as complete.
QUIET_S = _env.quiet_s
MAX_INSTANCE_BYTES = _env.max_instance_bytes
MODEL_REPOSITORY = _env.model_repository
INFERENCE_RUNTIME = _env.inference_runtime
TRITON_URL = _env.triton_url

#: Where render pods are found (empty: nowhere), what they show when they ask, and what signs tickets for them.
RENDER_URL = _env.render_url
RENDER_POD_KEYS = _env.render_pod_keys
RENDER_TICKET_KEY = _env.render_ticket_key

#: How long a token may live, how long emergency access lasts, and how often one person may break the glass.
TOKEN_MAX_DAYS = _env.token_max_days
EMERGENCY_MINUTES = _env.emergency_minutes
EMERGENCIES_PER_HOUR = _env.emergencies_per_hour
