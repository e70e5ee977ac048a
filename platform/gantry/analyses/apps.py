from django.apps import AppConfig


class AnalysesConfig(AppConfig):
    name = "gantry.analyses"
    label = "analyses"

    def ready(self) -> None:
        from gantry.analyses.services import select_job, start_anew
        from gantry.foundation.outbox import subscribe
        from gantry.studies.public import StudyCompleted, register_fence

        subscribe(StudyCompleted, select_job)
        register_fence(start_anew)
