"""What of django-allauth is served, under the names that it looks its pages up by. No sign-up, no mail, no social."""

from allauth.account import views as account
from allauth.mfa.base import views as second_factor
from django.urls import path

from gantry.identity import views

urlpatterns = [
    path("login/", account.LoginView.as_view(template_name="identity/sign_in.html"), name="account_login"),
    path("logout/", account.LogoutView.as_view(template_name="identity/sign_out.html"), name="account_logout"),
    path("inactive/", account.AccountInactiveView.as_view(template_name="identity/inactive.html"), name="account_inactive"),
    path("reauthenticate/", account.ReauthenticateView.as_view(template_name="identity/confirm.html"),
         name="account_reauthenticate"),
    path("password/change/", account.PasswordChangeView.as_view(template_name="identity/password.html"),
         name="account_change_password"),
    path("sessions/", views.SessionsView.as_view(), name="identity_sessions"),
    path("sessions/end/", views.EndSessionsView.as_view(), name="identity_end_sessions"),
    path("2fa/", second_factor.IndexView.as_view(template_name="identity/second_factor.html"), name="mfa_index"),
    path("2fa/authenticate/", second_factor.AuthenticateView.as_view(template_name="identity/second_factor_sign_in.html"),
         name="mfa_authenticate"),
    path("2fa/reauthenticate/", second_factor.ReauthenticateView.as_view(template_name="identity/confirm.html"),
         name="mfa_reauthenticate"),
    path("2fa/totp/activate/", views.ActivateSecondFactorView.as_view(), name="mfa_activate_totp"),
    path("2fa/totp/deactivate/", views.RemoveSecondFactorView.as_view(), name="mfa_deactivate_totp"),
    path("2fa/recovery-codes/", views.ShowRecoveryCodesView.as_view(), name="mfa_view_recovery_codes"),
    path("2fa/recovery-codes/generate/", views.RenewRecoveryCodesView.as_view(), name="mfa_generate_recovery_codes"),
]  # fmt: skip
