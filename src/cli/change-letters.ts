/** What `diff` shows for a kind of change, by the API's number. */
export const changeLetters = ["C", "A", "D"] as const;
