"""Base of every REST view: authenticated for the tenant in the address, inside its scope."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, ClassVar

from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.views import APIView

from gantry.foundation.scope import tenant_scope
from gantry.foundation.web.problems import UnauthenticatedError
from gantry.kernel.actor import Actor
from gantry.kernel.vocabulary import Scope
from gantry.tenancy.authentication import IsTenantActor, TenantAuthentication
from gantry.tenancy.scopes import require_scope


class TenantAPIView(APIView):
    """A view that runs inside the tenant scope of its actor.

    `scopes` says which of them open it to a service account whose token is confined; none does unless the view
    says so.
    """

    scopes: ClassVar[frozenset[Scope]] = frozenset()
    authentication_classes = [TenantAuthentication]
    permission_classes = [IsTenantActor]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        with ExitStack() as stack:
            self._scope = stack
            return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self._scope.enter_context(tenant_scope(self.actor))
        require_scope(self.actor, self.scopes)

    @property
    def actor(self) -> Actor:
        actor = self.request.auth
        if not isinstance(actor, Actor):
            raise UnauthenticatedError
        return actor
