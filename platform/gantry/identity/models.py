"""People who sign in. Password hashes, sessions and second factors live behind the identity role."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Lower
from django.utils.crypto import salted_hmac

from gantry.kernel.ids import new_uuid


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Create a person who can sign in with an e-mail address and a password."""
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user


class User(AbstractBaseUser):
    """A person. What they may do is said by their memberships, one for each tenant."""

    id = models.UUIDField(primary_key=True, default=new_uuid, editable=False)
    email = models.EmailField(max_length=254)
    name = models.CharField(max_length=128)
    is_active = models.BooleanField(default=True)
    #: Raised to end every session and socket of this person at once.
    generation = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name"]
    #: Django's own permission flags have no meaning here; the gate decides.
    is_staff = False
    is_superuser = False

    class Meta:
        constraints = [models.UniqueConstraint(Lower("email"), name="identity_user_email")]

    def __str__(self) -> str:
        return f"User {self.pk}"

    def get_full_name(self) -> str:
        return self.name

    def _get_session_auth_hash(self, secret: str | bytes | None = None) -> str:
        """Bind sessions to the password and to the generation: changing either ends them (Django's own check)."""
        value = f"{self.generation}:{self.password}"
        return salted_hmac("gantry.identity.session", value, secret=secret, algorithm="sha256").hexdigest()


class Session(models.Model):
    """One signed-in browser. The key is known to that browser only; here is its digest."""

    digest = models.CharField(primary_key=True, max_length=32)
    #: Empty until the person has passed every factor.
    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="+")
    data = models.TextField()
    address = models.CharField(max_length=64, blank=True)
    agent = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField()
    last_seen_at = models.DateTimeField(db_index=True)
    expires_at = models.DateTimeField()

    objects: ClassVar[models.Manager[Session]] = models.Manager()

    def __str__(self) -> str:
        return f"Session {self.digest[:8]}"


class SignInTally(models.Model):
    """Recent failures of one account or address, known here by a keyed digest only."""

    subject = models.CharField(primary_key=True, max_length=64)
    failed_at = ArrayField(models.DateTimeField(), default=list)
    locked_until = models.DateTimeField(null=True)
    updated_at = models.DateTimeField(db_index=True)

    objects: ClassVar[models.Manager[SignInTally]] = models.Manager()

    def __str__(self) -> str:
        return f"SignInTally {self.subject[:8]}"


class SpentCode(models.Model):
    """A one-time code that was used: RFC 6238 section 5.2 forbids accepting it twice."""

    digest = models.CharField(primary_key=True, max_length=64)
    spent_at = models.DateTimeField(db_index=True)

    objects: ClassVar[models.Manager[SpentCode]] = models.Manager()

    def __str__(self) -> str:
        return f"SpentCode {self.digest[:8]}"
