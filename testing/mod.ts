/**
 * For tests: the scenarios that every connector must pass, a connector that works,
 * fails, hangs, lies and answers late by script, and a clock that is set by hand.
 *
 * @module
 */

export {
  ConformanceError,
  type ConnectorScenario,
  type ConnectorSubject,
  testConnector,
} from "./conformance.ts";
export { ManualClock } from "./manual_clock.ts";
export {
  type ConnectorScript,
  type ScriptedAnswer,
  type ScriptedCall,
  ScriptedConnector,
  type ScriptedMethod,
  ScriptedResource,
} from "./scripted_connector.ts";
