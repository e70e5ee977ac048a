from django.apps import AppConfig


class OversightConfig(AppConfig):
    name = "gantry.oversight"
    label = "oversight"

    def ready(self) -> None:
        from gantry.foundation.outbox import subscribe
        from gantry.oversight.exports.services import forget_exports_job
        from gantry.studies.public import StudyErased

        subscribe(StudyErased, forget_exports_job)
