"""Keys, sign-in, sessions, cookies."""

from urllib.parse import urlsplit

from gantry.config.env import environment

_env = environment()
_origin = urlsplit(_env.web_origin)

DEBUG = False
SECRET_KEY = _env.secret_key
ALLOWED_HOSTS = [_origin.hostname or "127.0.0.1", "127.0.0.1", "localhost"]
CSRF_TRUSTED_ORIGINS = [_env.web_origin]

AUTH_USER_MODEL = "identity.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

_IS_HTTPS = _origin.scheme == "https"
SESSION_COOKIE_NAME = "gantry_session"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = _IS_HTTPS
CSRF_COOKIE_SECURE = _IS_HTTPS
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
SECURE_HSTS_SECONDS = 31_536_000 if _IS_HTTPS else 0
SECURE_REFERRER_POLICY = "no-referrer"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _env.trusted_proxy else None

LOGIN_URL = "/accounts/login/"
LOGIN_REDIRECT_URL = "/"

GUARDIAN_MONKEY_PATCH_USER = False
ANONYMOUS_USER_NAME = None

CONTEXT_KEY = _env.context_key
JOB_KEY = _env.job_key
TRUSTED_PROXY = _env.trusted_proxy
