export const extras: Record<string, { about: string }> = {};
