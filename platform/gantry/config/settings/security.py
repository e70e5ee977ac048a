"""Keys, sign-in, sessions, cookies."""

from urllib.parse import urlsplit

from gantry.config.env import environment

_env = environment()
_origin = urlsplit(_env.web_origin)

DEBUG = False
#: What the site is called from outside: scheme, host and port.
WEB_ORIGIN = _env.web_origin
FEED_HOSTS = _env.feed_hosts
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
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

ACCOUNT_ADAPTER = "gantry.identity.adapters.AccountAdapter"
ACCOUNT_FORMS = {
    "login": "gantry.identity.forms.SignInForm",
    "reauthenticate": "gantry.identity.forms.ConfirmPasswordForm",
    "change_password": "gantry.identity.forms.NewPasswordForm",
}
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = False
ACCOUNT_LOGOUT_REDIRECT_URL = "/accounts/login/"
# Attempts are counted in the database (gantry.identity.attempts); allauth's own limits live in one process's cache.
ACCOUNT_RATE_LIMITS = False

MFA_ADAPTER = "gantry.identity.adapters.SecondFactorAdapter"
MFA_FORMS = {
    "authenticate": "gantry.identity.forms.SecondFactorForm",
    "reauthenticate": "gantry.identity.forms.ConfirmCodeForm",
    "activate_totp": "gantry.identity.forms.ActivateSecondFactorForm",
}
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_ALLOW_UNVERIFIED_EMAIL = True
MFA_TOTP_ISSUER = "Gantry"
# One step of 30 s either way, for a phone whose clock is off (RFC 6238 section 5.2).
MFA_TOTP_TOLERANCE = 1

_IS_HTTPS = _origin.scheme == "https"
SESSION_ENGINE = "gantry.identity.sessions"
#: A workstation left alone is signed out after this; on one's own machine that may take longer.
SESSION_IDLE_S = 4 * 3600 if _env.is_embedded else 30 * 60
#: However busy, a session ends after this.
SESSION_COOKIE_AGE = 12 * 3600
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
SESSION_COOKIE_NAME = "gantry_session"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = _IS_HTTPS
CSRF_COOKIE_SECURE = _IS_HTTPS
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
SECURE_HSTS_SECONDS = 31_536_000 if _IS_HTTPS else 0
# With "no-referrer" browsers send `Origin: null` with our own forms, which the CSRF check rightly refuses.
SECURE_REFERRER_POLICY = "same-origin"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _env.trusted_proxy else None

LOGIN_URL = "/accounts/login/"
LOGIN_REDIRECT_URL = "/"

GUARDIAN_MONKEY_PATCH_USER = False
ANONYMOUS_USER_NAME = None

CONTEXT_KEY = _env.context_key
JOB_KEY = _env.job_key
TRUSTED_PROXY = _env.trusted_proxy

SILENCED_SYSTEM_CHECKS = [
    "guardian.W001",  # guardian keeps the rows of grants; the gate asks them, not Django's permission backends
    "auth.W004",  # unique without regard to case, by a constraint that this check does not know of
]
