"""What is installed, in the order of DESIGN.md §2, and what a request passes through."""

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "whitenoise.runserver_nostatic",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "django_vite",
    "procrastinate.contrib.django",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "guardian",
    "gantry.foundation",
    "gantry.audit",
    "gantry.identity",
    "gantry.tenancy",
    "gantry.access",
    "gantry.agreements",
    "gantry.catalog",
    "gantry.studies",
    "gantry.analyses",
    "gantry.viewing",
    "gantry.oversight",
    "gantry.config",
]

MIDDLEWARE = [
    "gantry.foundation.web.correlation.CorrelationMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "gantry.foundation.web.headers.SecurityHeadersMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]

ROOT_URLCONF = "gantry.config.urls"
ASGI_APPLICATION = "gantry.config.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
