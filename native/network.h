/* network.h - a network namespace made before anybody asks for it: that takes half a millisecond of a container's start */
#pragma once

/* Makes one. What can't be made now is made when it is needed. */
void network_prepare(void);
/* Enters the one that was made, once, or a new one. */
int network_enter(void);
/* Lets go of it: a namespace that nobody is in goes. */
void network_forget(void);
