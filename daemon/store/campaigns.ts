import type { Knex } from 'knex';
import type { ErrorDocument } from '../core/errors.js';
import { HildaError } from '../core/errors.js';
import type { CampaignFilter, CampaignRecord, CampaignState, CampaignStore } from './campaign-contract.js';
import type { Database, Write } from './database.js';
import { fromJsonText, toJsonText } from './json-columns.js';
import { addPredictorIn, updatePredictorIn } from './predictors.js';

export interface CampaignRow {
  readonly ordinal: number;
  readonly kind: string;
  readonly request: string;
  readonly state: CampaignState;
  readonly done: number;
  readonly of: number;
  readonly progress: string | null;
  readonly result: string | null;
  readonly error: string | null;
  readonly created_ms: number;
  readonly ended_ms: number | null;
}

const defaultLimit = 100;

export function campaignStore(database: Database): CampaignStore {
  return {
    addCampaign: ({ kind, request, of }) =>
      database.write(async (write) => tellCampaign(await addCampaignIn(write, { kind, request, of }), write)),

    noteCampaign: (id, { done, progress }) =>
      database.write(async (write) => {
        const ordinal = campaignOrdinal(id);
        const changed = await write
          .db('campaigns')
          .where({ ordinal, state: 'running' })
          .update({ done, ...(progress !== undefined && { progress: toJsonText(progress) }) });
        if (changed > 0) await tellCampaign(ordinal, write);
      }),

    endCampaign: (id, { state, result, error, predictor, changed, values = {} }) =>
      database.write(async (write) => {
        const { db, nowMs } = write;
        const { ordinal, state: before } = await requireCampaign(db, campaignOrdinal(id));
        if (before !== 'running')
          throw new HildaError('STATE_CONFLICT', `the campaign ${id} is ${before}`, {
            details: { campaignId: id, state: before },
          });
        const made = predictor && (await addPredictorIn(write, predictor));
        if (changed) await updatePredictorIn(write, changed.id, changed.body);
        for (const [key, value] of Object.entries(values))
          await db('key_values')
            .insert({ key, value: toJsonText(value) })
            .onConflict('key')
            .merge();
        const yielded = made ? { ...(result as object), predictorId: made.id } : result;
        await db('campaigns')
          .where({ ordinal })
          .update({
            state,
            result: yielded === null ? null : toJsonText(yielded),
            error: error === null ? null : toJsonText(error),
            progress: null,
            ended_ms: nowMs,
          });
        return tellCampaign(ordinal, write);
      }),

    campaign: async (id) => toCampaign(await database.read((db) => requireCampaign(db, campaignOrdinal(id)))),

    campaigns: async ({ before, limit = defaultLimit, ...filter } = {}) => {
      const rows = await database.read(async (db): Promise<CampaignRow[]> => {
        const query = matching(db, filter).orderBy('ordinal', 'desc').limit(limit);
        if (before === undefined) return query;
        const { ordinal } = await requireCampaign(db, campaignOrdinal(before));
        return query.andWhere('ordinal', '<', ordinal);
      });
      return rows.map(toCampaign);
    },

    campaignCount: async (filter) => {
      const counted = await database.read<{ readonly count: number | string }[]>((db) =>
        matching(db, filter).count({ count: '*' }),
      );
      return Number(counted[0]?.count ?? 0);
    },
  };
}

const matching = (db: Knex, { state, kind }: CampaignFilter) =>
  db('campaigns').where({ ...(state !== undefined && { state }), ...(kind !== undefined && { kind }) });

/** Answers with its ordinal; tells nobody. */
export async function addCampaignIn(
  { db, nowMs, next }: Write,
  { kind, request, of }: Pick<CampaignRecord, 'kind' | 'request' | 'of'>,
): Promise<number> {
  const ordinal = await next('campaigns');
  const row = { ordinal, kind, request: toJsonText(request), state: 'running', done: 0, of };
  await db('campaigns').insert({ ...row, created_ms: nowMs });
  return ordinal;
}

/** -1, which no campaign has, for what is no id. */
export const campaignOrdinal = (id: string): number => (/^[1-9]\d{0,14}$/.test(id) ? Number(id) : -1);

/** Tells who listens how far it is. */
export async function tellCampaign(ordinal: number, { db, publish }: Write): Promise<CampaignRecord> {
  const record = toCampaign(await requireCampaign(db, ordinal));
  const { id, kind, state, done, of } = record;
  await publish('campaigns', { type: 'campaign', id, kind, state, done, of });
  if (kind === 'benchmark') await publish('benchmarks', { type: 'run', id, state, done, of });
  return record;
}

async function requireCampaign(db: Knex, ordinal: number): Promise<CampaignRow> {
  const row: CampaignRow | undefined = await db('campaigns').where({ ordinal }).first();
  if (row) return row;
  throw new HildaError('NOT_FOUND', 'there is no such campaign', {
    hint: 'Run `hilda campaigns list` to see the campaigns.',
  });
}

export function toCampaign(row: CampaignRow): CampaignRecord {
  const id = String(row.ordinal);
  const parse = <T>(text: string | null): T | null =>
    text === null ? null : (fromJsonText(text, `the campaign ${id}`) as T);
  return {
    id,
    kind: row.kind,
    request: fromJsonText(row.request, `the campaign ${id}`),
    state: row.state,
    done: row.done,
    of: row.of,
    progress: parse(row.progress),
    result: parse(row.result),
    error: parse<ErrorDocument>(row.error),
    createdMs: row.created_ms,
    endedMs: row.ended_ms,
  };
}
