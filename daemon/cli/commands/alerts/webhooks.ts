import { Command } from 'commander';
import { act, type CliContext, type Terminal } from '../../context.js';
import { formatTime } from '../../format.js';
import { wholeNumber } from '../../whole-number.js';

type Webhook = Awaited<ReturnType<CliContext['client']['webhooks']>>[number];

export const webhooksCommand = (terminal: Terminal): Command =>
  new Command('webhooks')
    .addCommand(
      new Command('add')
        .description('send alerts, and a digest every morning, to an address')
        .argument('<url>', 'an http or https address')
        .action(
          act(terminal, async (context, url: string) => {
            const webhook = await context.client.addWebhook(url, context);
            context.answer('webhook', { webhook }, () =>
              [
                `${webhook.id} hears of alerts.`,
                `The secret that signs its messages, shown this once: ${webhook.secret}`,
              ].join('\n'),
            );
          }),
        ),
    )
    .addCommand(
      new Command('list').description('addresses that hear of alerts').action(
        act(terminal, async (context) => {
          const webhooks = await context.client.webhooks(context);
          context.answerTable(
            'webhooks',
            { webhooks },
            [
              { title: 'WEBHOOK', value: (one: Webhook) => one.id },
              { title: 'ADDRESS', value: (one: Webhook) => one.url },
              { title: 'SINCE', value: (one: Webhook) => formatTime(one.createdMs) },
              { title: 'DISABLED', value: (one: Webhook) => one.disabled ?? '' },
            ],
            webhooks,
            'Nobody hears of alerts.',
          );
        }),
      ),
    )
    .addCommand(
      new Command('deliveries')
        .description('messages to a webhook; newest first')
        .argument('<webhook>', 'its id, such as webhook-1')
        .option('--limit <n>', 'at most so many', (text: string) => wholeNumber(text, 'limit', 1, 1000), 20)
        .action(
          act(terminal, async (context, id: string, { limit }: { readonly limit: number }) => {
            const { deliveries, total } = await context.client.deliveries(id, limit, context);
            context.answerTable(
              'deliveries',
              { deliveries, total },
              [
                { title: 'DELIVERY', value: (one) => one.id },
                { title: 'KIND', value: (one) => one.kind },
                { title: 'STATE', value: (one) => one.state },
                { title: 'ATTEMPTS', align: 'right', value: (one) => String(one.attempt) },
                { title: 'SINCE', value: (one) => formatTime(one.createdMs) },
                { title: 'WHY', value: (one) => one.error ?? '' },
              ],
              deliveries,
              'Nothing was sent there.',
            );
          }),
        ),
    )
    .addCommand(onWebhook(terminal, 'test', 'send a message that says only that it is a test'))
    .addCommand(onWebhook(terminal, 'remove', 'send nothing there any more; what waits goes with it'));

const done = {
  test: (id: string) => `A test is on its way to ${id}: see \`hilda webhooks deliveries ${id}\`.`,
  remove: (id: string) => `${id} hears of nothing any more.`,
} as const;

const onWebhook = (terminal: Terminal, action: keyof typeof done, description: string): Command =>
  new Command(action)
    .description(description)
    .argument('<webhook>', 'its id')
    .action(
      act(terminal, async (context, id: string) => {
        const webhook = await context.client.onWebhook(id, action, context);
        context.answer('webhook', { webhook }, () => done[action](webhook.id));
      }),
    );
