export { type ErrorCode, isOnggiError, OnggiError } from "./base/error.ts";
export type * from "./engine/engine.ts";
export type * from "./engine/files-face.ts";
export type * from "./engine/model.ts";
export { Engine, type EngineOptions } from "./engine/open.ts";
export { type CommandResult, RunningContainer } from "./engine/running-container.ts";
export type * from "./engine/snapshot-model.ts";
export { StepFailure } from "./executor/step-failure.ts";
