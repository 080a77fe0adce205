// Opens whatever a link points into; the page is whole without it.
function openTarget(){var t=document.getElementById(decodeURIComponent(location.hash.slice(1)));for(var n=t;n;n=n.parentElement){if(n.tagName==="DETAILS")n.open=true}if(t)t.scrollIntoView()}
addEventListener("hashchange",openTarget);if(location.hash)openTarget();
