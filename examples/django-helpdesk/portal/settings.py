"""Django settings of the example. The part that concerns Vestibule comes first."""

import os
import secrets
from pathlib import Path
from urllib.parse import urlsplit

DATA = Path(os.environ["HELPDESK_DATA"])  # set by the `helpdesk` script
# The address visitors type. Only links in pages and the form checks need it.
ORIGIN = os.environ.get("HELPDESK_ORIGIN", "http://127.0.0.1:8080").rstrip("/")

# --- Vestibule -------------------------------------------------------------

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",  # /static/, open to all
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "portal.identity.VestibuleMiddleware",  # X-User-Id becomes request.user
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
# The only way in: no passwords.
AUTHENTICATION_BACKENDS = ["portal.identity.VestibuleBackend"]

# Believed because only Vestibule can reach this port.
USE_X_FORWARDED_HOST = True
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")


def env_list(name, default):
    return [item.strip() for item in os.environ.get(name, default).split(",") if item.strip()]


ALLOWED_HOSTS = env_list(
    "HELPDESK_ALLOWED_HOSTS", f"localhost,127.0.0.1,{urlsplit(ORIGIN).hostname}"
)
CSRF_TRUSTED_ORIGINS = env_list("HELPDESK_CSRF_TRUSTED_ORIGINS", ORIGIN)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = ORIGIN.startswith("https:")

# Vestibule says on every request who is calling, so Django's own session holds
# nothing worth a table: a signed cookie will do.
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"

# --- django-helpdesk -------------------------------------------------------

# Our form takes the submitter's address from the caller, not from what he types.
HELPDESK_PUBLIC_TICKET_FORM_CLASS = "portal.identity.TicketForm"
# These three are fixed, so the form asks for a summary and a description only.
HELPDESK_PUBLIC_TICKET_QUEUE = "support"
HELPDESK_PUBLIC_TICKET_PRIORITY = 3
HELPDESK_PUBLIC_TICKET_DUE_DATE = None
HELPDESK_VIEW_A_TICKET_PUBLIC = False  # no "number and e-mail" search form
HELPDESK_ENABLE_ATTACHMENTS = False  # its files would be served without a check
HELPDESK_ENABLE_PASSWORD_RESET = False
HELPDESK_TEAMS_MODE_ENABLED = False
HELPDESK_USE_HTTPS_IN_EMAIL_LINK = ORIGIN.startswith("https:")
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
}

# --- Django ----------------------------------------------------------------


def secret_key():
    path = DATA / "django-secret.key"
    if not path.exists():
        with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(48))
    return path.read_text()


DEBUG = False
SECRET_KEY = secret_key()
ROOT_URLCONF = "portal.urls"
INSTALLED_APPS = [
    "django.contrib.admin",  # django-helpdesk links to it
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sites",
    "django.contrib.staticfiles",
    "rest_framework",
    "helpdesk",
]
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
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA / "helpdesk.sqlite3",
        # Writers queue up instead of failing with "database is locked".
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL",
        },
    }
}
SITE_ID = 1
TIME_ZONE = "UTC"
STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True  # straight from the packages: no collectstatic
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"  # sends nothing
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        "django.request": {"level": "ERROR"},  # not every 403 and 404
        "waitress.queue": {"level": "ERROR"},  # nor every request that waits its turn
    },
}
