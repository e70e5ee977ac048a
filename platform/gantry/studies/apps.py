from django.apps import AppConfig


class StudiesConfig(AppConfig):
    name = "gantry.studies"
    label = "studies"

    def ready(self) -> None:
        from gantry.agreements.public import AgreementEnded
        from gantry.foundation.outbox import subscribe
        from gantry.studies.destruction.planning import plan_end_job
        from gantry.studies.events import StudyCompleted
        from gantry.studies.packs import pack_study_job

        subscribe(StudyCompleted, pack_study_job)
        subscribe(AgreementEnded, plan_end_job)
