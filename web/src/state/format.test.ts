/** Numbers as people read them. */
import { expect, it } from 'vitest';
import { count, formatBytes, formatClock, formatShare, formatSpan, formatTime, formatTimes, label } from './format';

it('writes times with as many digits as they are worth', () => {
  expect([formatTime(1_234_567), formatTime(75_400_000)]).toEqual(['1.23 s', '1 min 15.4 s']);
  expect([formatClock(0), formatClock(62_345_678)]).toEqual(['0:00.000', '1:02.345']);
  expect([formatSpan(12), formatSpan(12_300), formatSpan(1_250_000)]).toEqual(['12 µs', '12 ms', '1.3 s']);
});

it('writes sizes and counts', () => {
  expect([formatBytes(12), formatBytes(2_048), formatBytes(3 << 20)]).toEqual(['12 B', '2.0 KiB', '3.0 MiB']);
  expect([count(1, 'key'), count(0, 'key'), count(2, 'reply', 'replies')]).toEqual(['1 key', '0 keys', '2 replies']);
});

it('writes shares and ratios, and a dash where there is none', () => {
  expect([formatShare(0), formatShare(0.004), formatShare(0.97), formatShare(1), formatShare(null)]).toEqual(['0 %', '0.4 %', '97 %', '100 %', '–']);
  expect([formatTimes(1), formatTimes(2.345), formatTimes(undefined)]).toEqual(['1.0×', '2.3×', '–']);
});

it('makes labels of names', () => {
  expect([label('request_timeout_ms'), label('read_quorum'), label('value_bytes_max')]).toEqual(['Request timeout', 'Read quorum', 'Value max']);
});
