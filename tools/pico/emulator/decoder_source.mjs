// Takes rp2040js' instruction decoder apart. It is one chain of `if (pattern) {...} else if ...`, tried from
// the top for each instruction; fast_core.mjs builds a switch out of the pieces. This works on the text of
// exactly the version that package.json names, and says so where the text looks different.

import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const BODY_START = 'let deltaCycles = 1;';
const BODY_END = 'this.cycles += deltaCycles;';

export function unexpected(what) {
  return new Error(`rp2040js' decoder is not the one this was written for (${what}): use the pinned version`);
}

function readCoreSource() {
  const commonJs = path.dirname(createRequire(import.meta.url).resolve('rp2040js'));
  const folder = path.join(path.dirname(commonJs), 'esm');
  return fs.readFileSync(path.join(folder, 'cortex-m0-core.js'), 'utf8');
}

function between(text, start, end) {
  const from = text.indexOf(start);
  const to = text.lastIndexOf(end);
  if (from < 0 || to < from) throw unexpected(`no "${start}"`);
  return text.slice(from + start.length, to);
}

class ChainReader {
  constructor(text) {
    this.text = text;
    this.at = 0;
  }

  skipSpace() {
    while (/\s/.test(this.text[this.at] ?? '')) this.at++;
  }

  accept(word) {
    this.skipSpace();
    if (!this.text.startsWith(word, this.at)) return false;
    this.at += word.length;
    return true;
  }

  /** Returns what stands inside a pair of brackets, which may hold further pairs and quoted text. */
  bracketed(open, close) {
    this.skipSpace();
    const start = this.at;
    if (this.text[start] !== open) throw unexpected(`no ${open} at ${start}`);
    for (let depth = 0; this.at < this.text.length; this.at++) {
      const character = this.text[this.at];
      if (character === '`' || character === "'") this.at = this.text.indexOf(character, this.at + 1);
      else if (character === open) depth++;
      else if (character === close && --depth === 0) return this.text.slice(start + 1, this.at++);
    }
    throw unexpected(`a ${open} that is not closed`);
  }
}

/**
 * Returns `constants`, the text before the class, and `branches`, a list of `{pattern, action}` in their order.
 */
export function readDecoder() {
  const source = readCoreSource();
  const classAt = source.indexOf('export class CortexM0Core');
  const methodAt = source.indexOf('executeInstruction() {');
  if (classAt < 0 || methodAt < 0) throw unexpected('no decoder');
  const constants = source.slice(0, classAt).replace(/^import.*$/gm, '').replace(/export /g, '');
  const chain = between(source.slice(methodAt), BODY_START, BODY_END).replace(/^\s*\/\/.*$/gm, '');
  const reader = new ChainReader(chain);
  const branches = [];
  for (;;) {
    if (branches.length && !reader.accept('else')) throw unexpected('the chain has no last else');
    if (!reader.accept('if')) break;
    branches.push({ pattern: reader.bracketed('(', ')'), action: reader.bracketed('{', '}') });
  }
  return { constants, branches };
}
