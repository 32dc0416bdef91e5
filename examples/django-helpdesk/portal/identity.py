"""Who is calling, as Vestibule says, and what he may open in django-helpdesk."""

from urllib.parse import unquote

from django.contrib.auth.backends import RemoteUserBackend
from django.contrib.auth.middleware import RemoteUserMiddleware
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.http import HttpResponseForbidden
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST
from helpdesk.forms import PublicTicketForm
from helpdesk.models import Ticket
from helpdesk.views import staff

STAFF_ROLES = {"agent", "admin"}
NO_MAIL = "@users.invalid"  # a domain that can never exist (RFC 2606)

# All that a caller without a staff role may open.
CALLER_VIEWS = {
    "helpdesk:home",
    "helpdesk:submit",
    "helpdesk:my-tickets",
    "helpdesk:user_tickets-list",  # the data behind my-tickets, as JSON
    "helpdesk:user_tickets-detail",
    "helpdesk:public_view",
    "helpdesk:kb_index",
    "helpdesk:kb_category",
    "helpdesk:help_context",
    "helpdesk:logout",
    "reply",
}


class VestibuleBackend(RemoteUserBackend):
    # One tenant, so the user id alone names the user. With several tenants in
    # one Django, two of them may have the same id: put X-Tenant in front of it.
    def clean_username(self, username):
        # django-helpdesk puts the name into a URL that takes no slash. Escaping
        # "%" as well keeps two different ids from becoming the same name.
        return username.replace("%", "%25").replace("/", "%2F")

    def configure_user(self, request, user, created=True):
        if created:
            user.set_unusable_password()
            user.save(update_fields=["password"])
        return user


class VestibuleMiddleware(RemoteUserMiddleware):
    # Not the "persistent" kind: Vestibule sends the header on every request,
    # so a request without it has no user, whatever Django's cookie says.
    header = "HTTP_X_USER_ID"

    def process_request(self, request):
        super().process_request(request)
        if request.user.is_authenticated:
            sync(request.user, request.headers)

    def process_view(self, request, view, args, kwargs):
        if not request.user.is_authenticated:
            return HttpResponseForbidden("No user: this site is reached through Vestibule only.")
        if request.user.is_staff:
            return None
        name = request.resolver_match.view_name
        if name not in CALLER_VIEWS:
            return HttpResponseForbidden("Your account may not open this page.")
        if name == "helpdesk:public_view":
            # Left alone, this view shows a ticket to anyone who has its number,
            # e-mail and secret key, all three of which stand in its URL. With
            # the caller's own address put in, it finds only his own tickets.
            request.GET = request.GET.copy()
            request.GET["email"] = request.user.email
        return None


def sync(user, headers):
    """Bring the user record up to date with what Vestibule says."""
    wanted = {"is_staff": not STAFF_ROLES.isdisjoint(items(headers.get("X-Roles", "")))}
    # Without a name or e-mail header the last known one stays.
    if name := text(headers.get("X-User-Name", "")):
        wanted["first_name"], _, wanted["last_name"] = name.partition(" ")
    # django-helpdesk knows the owner of a ticket by his e-mail address only, so
    # everyone must have one, and no two the same.
    if not user.email:
        wanted["email"] = f"user-{user.pk}{NO_MAIL}"
    wanted = {field: value for field, value in wanted.items() if getattr(user, field) != value}
    if wanted:
        User.objects.filter(pk=user.pk).update(**wanted)
        user.refresh_from_db()
    email = text(headers.get("X-User-Email", ""))
    if email != user.email and valid(email):
        with transaction.atomic():  # takes SQLite's write lock, so nobody else comes between
            others = User.objects.exclude(pk=user.pk)
            # Another user's address is not given away: it would open his tickets.
            if not others.filter(email__iexact=email).exists():
                Ticket.objects.filter(submitter_email=user.email).update(submitter_email=email)
                user.email = email
                user.save(update_fields=["email"])


def items(value):
    return {item.strip() for item in value.split(",")}


def text(value):
    """Undo the percent-encoding; any white space, line ends too, becomes one space."""
    return " ".join(unquote(value).split())


def valid(email):
    try:
        validate_email(email)
    except ValidationError:
        return False
    return not email.lower().endswith(NO_MAIL)


class TicketForm(PublicTicketForm):
    """The address on a ticket decides who may read it, so it is not a field to fill in."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        del self.fields["submitter_email"]

    def save(self, user):
        self.cleaned_data["submitter_email"] = user.email
        return super().save(user)


@require_POST
def reply(request, ticket_id):
    """django-helpdesk 2.6.1 shows the submitter a reply form that only staff may send."""
    if request.user.is_staff:
        return staff.update_ticket_view(request, ticket_id)
    ticket = get_object_or_404(Ticket, id=ticket_id, submitter_email=request.user.email)
    allowed = {str(status): status for status, _ in ticket.get_allowed_status_flow}
    ticket.status = allowed.get(request.POST.get("new_status"), ticket.status)
    ticket.save()
    comment = request.POST.get("comment", "").strip()
    if comment:
        ticket.followup_set.create(
            title="Reply", date=timezone.now(), comment=comment, public=True, user=request.user
        )
    return redirect(f"{reverse('helpdesk:public_view')}?ticket={ticket.ticket_for_url}")
