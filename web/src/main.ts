/** Puts the page together: one board, one app. */
import { mount } from 'svelte';
import './app.css';
import App from './panels/App.svelte';
import { Board } from './panels/board.svelte';

const target = document.getElementById('app');
if (target === null) throw new Error('index.html has no element for the app');

const board = new Board();
mount(App, { target, props: { board } });
void board.enter();
