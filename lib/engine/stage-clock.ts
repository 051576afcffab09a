/** How long the stages of a run take, and what they send to other ranks. */
import type { Traffic } from './native-team';
import type { Team } from './team';

/** What a rank did in a stage. */
export interface StageUse {
  /** `rest`: what lies between stages, and behind the last one; of ranks but the first, waiting for orders. */
  stage: string;
  seconds: number;
  /** Of them, in which it sent, or waited for other ranks. */
  waitingSeconds: number;
  /** Bytes to other ranks. */
  sent: number;
  /** Of them those of sums over tokens, which `plan` counts. */
  sums: number;
}

export class StageClock {
  readonly #team: Pick<Team, 'traffic'>;
  readonly #stages: StageUse[] = [];
  #stage: StageUse;
  #since: { at: number; traffic: Traffic };

  constructor(team: Pick<Team, 'traffic'>) {
    this.#team = team;
    this.#since = { at: performance.now(), traffic: team.traffic() };
    this.#stage = this.#use('rest');
  }

  /** What follows is of that stage. */
  enter(stage: string): void {
    this.#count();
    this.#stage = this.#use(stage);
  }

  /** So far, in the order in which they began. */
  stages(): StageUse[] {
    this.#count();
    return structuredClone(this.#stages);
  }

  #use(stage: string): StageUse {
    const known = this.#stages.find((one) => one.stage === stage);
    if (known) return known;
    const use = { stage, seconds: 0, waitingSeconds: 0, sent: 0, sums: 0 };
    this.#stages.push(use);
    return use;
  }

  #count(): void {
    const { at, traffic } = this.#since;
    const now = { at: performance.now(), traffic: this.#team.traffic() };
    this.#stage.seconds += (now.at - at) / 1000;
    this.#stage.waitingSeconds += now.traffic.seconds - traffic.seconds;
    this.#stage.sent += now.traffic.sent - traffic.sent;
    this.#stage.sums += now.traffic.sums - traffic.sums;
    this.#since = now;
  }
}
