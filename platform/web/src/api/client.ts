/** One function per operation of the control plane. */
import { bootstrap } from "./bootstrap";
import { sendJson } from "./http";
import type {
  Analysis,
  Contours,
  Finding,
  ModelSummary,
  Person,
  QuarantineItem,
  Study,
  WorklistPage,
  WorklistQuery,
} from "./types";

const api = (path: string): string => bootstrap().urls.api + path;

// Searches are POSTed: names and numbers of patients stay out of URLs and access logs.
export const searchWorklist = (query: WorklistQuery, signal?: AbortSignal): Promise<WorklistPage> =>
  sendJson(api("/worklist/search"), { method: "POST", body: query, ...(signal ? { signal } : {}) });

export const getStudy = (id: string): Promise<Study> => sendJson(api(`/studies/${id}`));

export const listAnalyses = async (studyId: string): Promise<Analysis[]> =>
  (await sendJson<{ analyses: Analysis[] }>(api(`/studies/${studyId}/analyses`))).analyses;

export const getContours = (url: string): Promise<Contours> => sendJson(url);

export const reviewFinding = (
  finding: Finding,
  decision: "accept" | "reject" | "reopen",
  reason: string,
): Promise<Finding> =>
  sendJson(api(`/findings/${finding.id}/review`), {
    method: "POST",
    body: { decision, reason },
    headers: { "If-Match": finding.etag },
  });

export const completeStudy = (id: string): Promise<void> =>
  sendJson(api(`/studies/${id}/complete`), { method: "POST", body: {} });

export const createReferral = (studyId: string, personId: string, until: string): Promise<void> =>
  sendJson(api(`/studies/${studyId}/referrals`), { method: "POST", body: { person_id: personId, until } });

export const deleteReferral = (studyId: string, id: string): Promise<void> =>
  sendJson(api(`/studies/${studyId}/referrals/${id}`), { method: "DELETE" });

export const listReferrers = async (): Promise<Person[]> =>
  (await sendJson<{ people: Person[] }>(api("/people"))).people;

export const listModels = async (): Promise<ModelSummary[]> =>
  (await sendJson<{ models: ModelSummary[] }>(api("/models"))).models;

/** Start an analysis; the same key never starts a second one. */
export const startAnalysis = (
  studyInstanceUid: string,
  model: string,
  idempotencyKey: string,
): Promise<{ id: string }> =>
  sendJson(api("/inference"), {
    method: "POST",
    body: { study_instance_uid: studyInstanceUid, model },
    headers: { "Idempotency-Key": idempotencyKey },
  });

export const listQuarantine = (page: number): Promise<{ count: number; results: QuarantineItem[] }> =>
  sendJson(api(`/quarantine?page=${page}`));
