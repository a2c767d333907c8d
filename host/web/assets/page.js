// What the pages do beyond plain HTML: each part starts itself where its
// elements are.
import { startForm } from './form.js';
import { startSaved } from './saved.js';
import { tellEnding } from './ending.js';

if (document.querySelector('#form')) startForm();
if (document.querySelector('#test-saved')) startSaved();
if (document.querySelector('#ending')) tellEnding();
