/** What the control plane sends and takes; snake case as on the wire. */

export interface Person {
  id: string;
  name: string;
}

export interface Institution {
  id: string;
  name: string;
  is_default?: boolean;
}

export interface Bootstrap {
  tenant: { slug: string; name: string };
  user: { id: string; name: string; email: string };
  role: string;
  permissions: string[];
  institutions: Institution[];
  csrf_token: string;
  urls: { api: string; dicomweb: string; ws: string; worklist: string; sessions: string; logout: string };
  agreement: { in_force: boolean; sentence: string };
  study_id?: string;
}

export interface Cursor {
  stream: string;
  epoch: string;
  seq: number;
}

export type RunState = "queued" | "running" | "waiting" | "done" | "failed" | "not_analysed";
export type ReviewSummary = "none" | "unreviewed" | "accepted" | "rejected" | "mixed";
export type ReviewState = "unreviewed" | "accepted" | "rejected";

export interface AnalysisSummary {
  id: string | null;
  state: RunState | "none";
  progress: number;
  sentence: string;
  model: string;
  model_version: string;
  study_revision: number | null;
}

export interface StudyRow {
  id: string;
  study_instance_uid: string;
  patient: {
    name: string;
    patient_id: string;
    birth_date: string | null;
    sex: string;
    /** Name or birth date are not those of other studies under the same number. */
    identity_differs: boolean;
  };
  accession_number: string;
  study_description: string;
  study_date: string | null;
  study_time: string | null;
  modalities: string[];
  institution: Institution;
  referring_physician_name: string;
  number_of_series: number;
  number_of_instances: number;
  revision: number;
  state: "receiving" | "complete";
  quiet_until: string | null;
  analysis: AnalysisSummary;
  review: ReviewSummary;
  findings_count: number;
  received_at: string;
  is_referred: boolean;
  newer_instances: boolean;
}

export type SortKey = "received" | "study_date" | "patient_name" | "modality" | "description" | "state";

export interface WorklistQuery {
  text: string;
  patient: string;
  accession: string;
  description: string;
  date_from: string | null;
  date_to: string | null;
  modalities: string[];
  analysis_states: string[];
  review_states: string[];
  referred_only: boolean;
  sort: SortKey;
  order: "asc" | "desc";
  page: number;
  page_size: 25 | 50 | 100;
}

export interface WorklistPage {
  count: number;
  page: number;
  page_size: number;
  results: StudyRow[];
  cursor: Cursor;
}

/** Window centre and width in stored units after the modality LUT (HU for CT). */
export interface VoiWindow {
  center: number;
  width: number;
  explanation?: string;
}

export interface Instance {
  sop_instance_uid: string;
  sop_class_uid: string;
  instance_number: number | null;
  frames: number;
  rows: number;
  columns: number;
  position_mm: number | null;
  image_position_patient: number[] | null;
  image_orientation_patient: number[] | null;
  /** [between rows, between columns], mm. */
  pixel_spacing_mm: [number, number] | null;
  photometric_interpretation: string;
  /** Compressed with loss before it came to Gantry. */
  is_lossy: boolean;
}

export interface Series {
  id: string;
  series_instance_uid: string;
  modality: string;
  series_number: number | null;
  series_description: string;
  body_part_examined: string;
  laterality: string;
  number_of_instances: number;
  frame_of_reference_uid: string;
  is_image: boolean;
  is_ai_result: boolean;
  thumbnail_url: string | null;
  windows: VoiWindow[];
  instances: Instance[];
}

export interface Referral {
  id: string;
  person: Person;
  until: string | null;
  /** How it came about, in words. */
  state: string;
}

export interface ReferralCandidate {
  person: Person;
  reason: string;
}

export interface Study extends StudyRow {
  series: Series[];
  referrals: Referral[];
  referral_candidates: ReferralCandidate[];
  cursor: Cursor;
}

export interface Measurement {
  name: string;
  value: number;
  unit: string;
  unit_display: string;
}

export interface Finding {
  id: string;
  etag: string;
  /** Within its analysis. */
  number: number;
  /** Number of the finding that this is a connected region of; it follows that one's review. */
  part_of: number | null;
  tracking_uid: string;
  label: string;
  concept: { value: string; scheme: string; meaning: string };
  color: string;
  measurements: Measurement[];
  review: { state: ReviewState; by: string | null; at: string | null; reason: string };
  series_instance_uid: string;
  key_sop_instance_uid: string;
  slice_areas: { sop_instance_uid: string; area_mm2: number }[];
  contours_url: string;
}

export interface Analysis {
  id: string;
  model: {
    name: string;
    version: string;
    title: string;
    intended_use: string;
    limits: string[];
    is_reference: boolean;
    disclaimer: string | null;
    weights_sha256: string;
  };
  state: RunState;
  progress: number;
  stage: string;
  sentence: string;
  study_revision: number;
  is_stale: boolean;
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
  runtime: string;
  input_series_instance_uid: string;
  findings: Finding[];
  outputs: { kind: string; series_instance_uid: string; sop_instance_uid: string }[];
}

export interface Contours {
  encoding: "quarter-pixel-delta-v1";
  slices: Record<string, number[][]>;
}

export interface ModelSummary {
  name: string;
  version: string;
  title: string;
  phase: string;
  summary: string;
}

export interface QuarantineItem {
  id: string;
  received_at: string;
  reason_code: string;
  sentence: string;
  sop_instance_uid: string;
  size_bytes: number;
  file_name?: string;
}

/** What an event says: ids and non-patient state only. */
export interface LiveData {
  study_id?: string;
  series_id?: string;
  /** Of the study, the analysis or the finding, as the event's name says. */
  state?: string;
  revision?: number;
  review?: ReviewSummary;
  finding_id?: string;
  analysis_id?: string;
  stage?: string;
  progress?: number;
  sentence?: string;
}
