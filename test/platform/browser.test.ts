// The status page in a real browser: what it shows, that it counts and follows, and that nothing but its own script and style runs in it.
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { request } from 'node:http'
import { test } from 'node:test'
import { type Browser, chromium, type Page } from 'playwright-core'
import { anywhere, onStage, type Stage, web } from '../daemon/support.ts'
import { eventually } from '../support/eventually.ts'

const executablePath = '/usr/bin/chromium'
const flags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

async function inBrowser(play: (browser: Browser) => Promise<void>): Promise<void> {
  assert.ok(existsSync(executablePath), 'needs Debian’s chromium')
  const browser = await chromium.launch({ executablePath, args: flags })
  try {
    await play(browser)
  } finally {
    await browser.close()
  }
}

const yaml = (stage: Parameters<typeof anywhere>[0]): string =>
  `profiles:\n  app: ${anywhere(stage)}\n  reports: ${web(stage)}\nconsumers: { app: { profiles: [app, reports] } }\ncontainer_endpoint: { listen: "127.0.0.1:0" }\nstatus_endpoint: { listen: "127.0.0.1:0" }\n`

const addressOf = ({ daemon }: Stage): string => `http://${daemon.listeners.get('status')?.address}`
const textOf = (page: Page): Promise<string> => page.locator('body').innerText()

test('the page shows what is served and counts down, runs nothing else, and asks nobody else', () =>
  onStage({ yaml }, async (stage) => {
    await eventually('all is ready', () => stage.daemon.status().ready)
    await inBrowser(async (browser) => {
      const page = await browser.newPage({ viewport: { width: 1100, height: 820 } })
      const complaints: string[] = []
      const asked = new Set<string>()
      page.on('console', (message) => complaints.push(message.text()))
      page.on('pageerror', (error) => complaints.push(String(error)))
      page.on('request', (one) => asked.add(new URL(one.url()).origin))
      await page.goto(addressOf(stage))
      const text = await textOf(page)
      const { profiles, identities } = stage.daemon.status()
      for (const one of [...profiles.map(({ accessKeyId }) => accessKeyId), identities[0]?.spiffeId, 'Ready.', 'Recent events', 'container'])
        assert.ok(text.includes(one ?? 'none'), `${one} in\n${text}`)
      const counted = page.locator('time').first()
      const first = await counted.innerText()
      await eventually('it counts', async () => (await counted.innerText()) !== first || /min|h/.test(first), 5_000)
      // What somebody might get into a message or a name is text there.
      await page.evaluate(`document.body.insertAdjacentHTML('beforeend', '<img src=x onerror="document.title = 1">')`)
      await page.addScriptTag({ content: 'document.title = "foreign"' }).catch(() => {})
      assert.match(await page.title(), /svidecar$/)
      assert.ok(
        complaints.every((line) => /Content Security Policy/.test(line)),
        complaints.join('\n'),
      )
      assert.deepEqual([...asked], [addressOf(stage)])
      if (process.env['SVIDECAR_SCREENSHOT'] !== undefined) {
        await page.reload()
        await page.screenshot({ path: process.env['SVIDECAR_SCREENSHOT'], clip: { x: 0, y: 0, width: 1100, height: 450 } })
      }
    })
  }))

test('it follows what changes, also in dark, and says when the daemon is gone', () =>
  onStage({ yaml }, async (stage) => {
    await eventually('all is ready', () => stage.daemon.status().ready)
    await inBrowser(async (browser) => {
      const page = await browser.newPage({ colorScheme: 'dark' })
      await page.goto(addressOf(stage))
      const ground = await page.evaluate('getComputedStyle(document.body).backgroundColor')
      await page.emulateMedia({ colorScheme: 'light' })
      assert.notEqual(await page.evaluate('getComputedStyle(document.body).backgroundColor'), ground)
      stage.yaml = `${stage.yaml}files: [ { jwt: { audience: [a], path: /nonexistent/token } } ]\n`
      await stage.daemon.reload()
      await eventually('the problem and its remedy are shown', async () => /cannot write \/nonexistent\/token/.test(await textOf(page)), 10_000)
      assert.match(await textOf(page), /Not ready: nothing valid for jwt \/nonexistent\/token/)
      await stage.daemon.stop('a test')
      await eventually('the end is shown', async () => /does not answer/.test(await textOf(page)), 10_000)
    })
  }))

test('a page of another site may lead here, and can neither frame it nor read from it', () =>
  onStage({ yaml }, async (stage) => {
    const ask = (headers: Record<string, string>): Promise<number> =>
      new Promise((resolve, reject) => {
        const { hostname, port } = new URL(addressOf(stage))
        request({ hostname, port, path: '/', headers, agent: false }, (answer) => resolve(answer.resume().statusCode ?? 0))
          .on('error', reject)
          .end()
      })
    assert.equal(await ask({ 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }), 200)
    assert.equal(await ask({ 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' }), 403)
    assert.equal(await ask({ 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' }), 403)
    assert.equal(await ask({ host: 'rebound.example' }), 403)
  }))
