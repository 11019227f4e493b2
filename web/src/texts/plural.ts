// Sentences with a number in them, in the form that the language has for that number.

type Forms = Partial<Record<Intl.LDMLPluralRule, string>> & { readonly other: string };

/** Makes the sentence for a number, which takes the place of `#`. */
export function plural(lang: string, forms: Forms): (count: number) => string {
  const rules = new Intl.PluralRules(lang);
  const number = new Intl.NumberFormat(lang);
  return (count) => (forms[rules.select(count)] ?? forms.other).replace('#', number.format(count));
}
